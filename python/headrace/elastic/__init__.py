"""Elastic training: model modules and what is made of them."""
