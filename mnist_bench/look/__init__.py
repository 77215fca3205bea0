"""Looking at what is there: in the terminal, in MLflow's UI, and with a model that was kept."""
