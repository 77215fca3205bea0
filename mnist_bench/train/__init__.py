"""Data, models and training; the only folder that imports TensorFlow and Keras."""
