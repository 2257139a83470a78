"""Caodiem: what every part shares. Imports neither SimPy nor Locust."""

__version__ = "0.1.0"
