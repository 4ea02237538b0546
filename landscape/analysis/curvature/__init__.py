"""Curvature: what products with the Hessian say about a point, a plane and a run."""
