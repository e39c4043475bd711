"""Losses: NT-Xent at any batch size, and PeCLR around any loss."""
