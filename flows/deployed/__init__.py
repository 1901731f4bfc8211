"""Deployed flows: what a worker imports to begin a run, so light that the run is at work within seconds.

In come the parameters of a run, by a form that people fill in; the rest, with torch and MLflow, is imported when it has
begun.
"""

from flows.deployed.compression import compress
from flows.deployed.form import ONE_LINE, Apart, Places, Recipes

__all__ = ["ONE_LINE", "Apart", "Places", "Recipes", "compress"]
