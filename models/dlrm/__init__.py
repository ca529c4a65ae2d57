"""DLRM on Criteo's rows."""
