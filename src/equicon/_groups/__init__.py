"""Group elements: the protocol, and affine maps of the plane."""
