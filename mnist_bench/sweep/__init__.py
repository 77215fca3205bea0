"""A sweep: what is to be run, running it through a Hydra launcher, and summing it up."""
