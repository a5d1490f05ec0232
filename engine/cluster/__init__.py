"""The cluster: Ray started or joined, its actors kept alive, and the way in from the web side. Imports every room below."""
