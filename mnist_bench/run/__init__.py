"""One run, from settings to record: where `train` and `store` meet, and the files it leaves."""
