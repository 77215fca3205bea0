"""Settings: types and rules, from Hydra's configuration to dataclasses, what is wrong with them."""
