"""Datasets whose records are accounted for, one by one."""
