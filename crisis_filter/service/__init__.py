"""The HTTP service: messages in over HTTP, stored before they are acknowledged, judged, routed and told of."""
