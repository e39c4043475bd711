"""The plane: small matrices in closed form, and the unit frame."""
