"""Views painted by Zero123++ v1.2 (Shi et al. 2023): its networks, their sampling, its sheets."""
