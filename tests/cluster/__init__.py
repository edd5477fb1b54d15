"""Three brokers and three mongods under a live feed, struck one blow after another: `make cluster`."""
