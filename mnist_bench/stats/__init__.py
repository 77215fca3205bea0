"""Statistics on plain arrays; the only folder that imports SciPy."""
