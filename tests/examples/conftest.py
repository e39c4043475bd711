"""Settings of the examples' tests."""

from contextlib import suppress

with suppress(ImportError):
    from tensorboard.summary.writer import event_file_writer

    # TensorBoard reads a run's files in the order of their names, which end in this number. Two runs of one process
    # within a second differ in nothing else, and "10" comes before "9". Processes of people have names of their own.
    event_file_writer._global_uid = event_file_writer.AtomicCounter(10**6)
