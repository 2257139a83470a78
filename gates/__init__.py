"""A regression gate on pytest-benchmark tests: two commits of any git repository, measured in pairs.

Imports only `caodiem`, and of the repositories that it measures nothing at all: it runs their pytest.
"""
