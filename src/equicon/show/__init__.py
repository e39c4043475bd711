"""Pictures of your own views, with the labels that move along.

The module needs matplotlib, which the extra installs: ``pip install 'equicon[train]'``. matplotlib is imported when a
picture is drawn.
"""

from equicon._public import claim
from equicon.show._views import views

__all__ = ["views"]

claim(__all__, globals())
