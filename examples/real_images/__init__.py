"""A study on real photographs: few labels, and many pictures without."""
