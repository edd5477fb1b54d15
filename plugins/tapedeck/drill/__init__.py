"""The checks' score: faults put into a tape that is known to be complete, and what is made of them."""
