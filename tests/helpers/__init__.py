"""Stand-ins, small networks and made inputs that several test files use."""
