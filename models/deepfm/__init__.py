"""DeepFM on Criteo's rows."""
