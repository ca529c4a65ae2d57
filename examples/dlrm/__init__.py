"""DLRM on Criteo's text format, its input written in the graph."""
