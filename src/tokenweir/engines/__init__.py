"""Inference servers on this machine: the local llama.cpp engine, discovery of others, model files."""
