"""Where targets may be: addresses, ports, names, and the vetted dial."""
