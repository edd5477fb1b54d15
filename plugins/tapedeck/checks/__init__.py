"""What is missing, at which hop it went missing, and whether the log and Arctic hold the same messages."""
