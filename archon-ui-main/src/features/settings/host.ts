/** This feature's only door to shared code. In another host application, only this file changes. */
export { ApiError, asApiError, call, send } from "@/features/agent-work-orders/services/client";
export type { components } from "@/features/agent-work-orders/types/api.generated";
export { urlProblem } from "@/features/agent-work-orders/utils/requestRules";
export { useDebounced } from "@/features/shared/hooks/useDebounced";
export { useMediaQuery } from "@/features/shared/hooks/useMediaQuery";
export { useNow } from "@/features/shared/hooks/useNow";
export { useStored } from "@/features/shared/hooks/useStored";
export { cn } from "@/features/shared/utils/cn";
export { bytes, count, money, plural } from "@/features/shared/utils/quantity";
export { duration, exactTime, relativeTime } from "@/features/shared/utils/time";
export {
  Button,
  Card,
  Checkbox,
  Code,
  Confirm,
  type ControlProps,
  CopyButton,
  Dialog,
  Empty,
  Field,
  Input,
  Menu,
  MenuItem,
  type Option,
  Page,
  Problem,
  RelativeTime,
  Select,
  Skeleton,
  Switch,
  Tab,
  TabPanel,
  Tabs,
  TabsList,
  Textarea,
  Tooltip,
  useToast,
} from "@/features/ui/primitives";
