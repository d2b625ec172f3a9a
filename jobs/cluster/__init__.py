"""The same stages spread with Ray."""
