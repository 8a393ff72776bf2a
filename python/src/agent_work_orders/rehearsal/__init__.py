from .sample import REQUEST as SAMPLE_REQUEST
from .scenario import Scenario
from .stage import Stage, open_stage, stage_in_thread

__all__ = ["SAMPLE_REQUEST", "Scenario", "Stage", "open_stage", "stage_in_thread"]
