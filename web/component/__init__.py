"""The page of one component: what its history tells beyond the curve."""
