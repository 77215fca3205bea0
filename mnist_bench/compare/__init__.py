"""Verdicts: is a candidate worse than a baseline, better, the same, or can nobody tell?"""
