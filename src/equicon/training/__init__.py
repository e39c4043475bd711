"""What training programmes share: checkpoints, a journal, ranks, batches, a schedule, options.

Provisional until 1.0.
"""
