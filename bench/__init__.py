"""Benchmarks: figures beside what they are compared with, each bounded in time; never asserted in tests."""
