/** This feature's only door to shared code. In another host application, only this file changes. */

export { useCommands } from "@/features/shared/hooks/useCommands";
export { useDebounced } from "@/features/shared/hooks/useDebounced";
export { useMediaQuery } from "@/features/shared/hooks/useMediaQuery";
export { useNow } from "@/features/shared/hooks/useNow";
export { read as readStored, useStored } from "@/features/shared/hooks/useStored";
export { cn } from "@/features/shared/utils/cn";
export { bytes, count, money, plural } from "@/features/shared/utils/quantity";
export { safeHref } from "@/features/shared/utils/safeHref";
export { clockTime, duration, exactTime, relativeTime, secondsBetween } from "@/features/shared/utils/time";
export {
  Button,
  type ButtonProps,
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
  Key,
  Menu,
  MenuCheckItem,
  MenuItem,
  MenuSeparator,
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
