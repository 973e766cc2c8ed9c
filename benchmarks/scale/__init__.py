"""From ten thousand to a million chunks: `python -m benchmarks.scale` measures, the other files give it what to measure."""
