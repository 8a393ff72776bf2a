"""The settings desk: where every value comes from, who may change it, and how that takes effect without a restart."""
