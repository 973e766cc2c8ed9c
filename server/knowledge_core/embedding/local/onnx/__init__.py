"""The packaged all-MiniLM-L6-v2 by ONNX Runtime: for the start and for queries, without torch."""
