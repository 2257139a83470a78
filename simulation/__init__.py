"""Caodiem's simulation: from a scenario to a plan, and from a plan to predicted observations."""
