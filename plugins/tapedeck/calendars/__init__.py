"""When a venue is open: exchanges' own calendars, round the clock, and session tables of one's own."""
