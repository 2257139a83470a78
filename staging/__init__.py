"""The reference portal: a small public-service portal with a real database and real signatures, for loopback only."""
