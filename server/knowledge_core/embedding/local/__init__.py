"""Models that run in this process: engines, the trial between them, the threads that all callers share."""
