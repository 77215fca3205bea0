"""Where runs are kept; the only folder that imports MLflow.

Everything goes through `MlflowClient` with explicit run ids, synchronously: MLflow's asynchronous
logging loses data at a crash, and its fluent `start_run` marks a crashed run FINISHED.
"""

import os

# MLflow reads them while it is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
