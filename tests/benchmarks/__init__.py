"""What has a number to beat (DESIGN §11), each measured beside its baseline in the same run: `make bench`."""
