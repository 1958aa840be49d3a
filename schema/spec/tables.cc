#include "schema/spec/types.h"

// Fields stand in the order in which docker compose prints them.

namespace skiff::schema {
namespace {

constexpr Type kAnyType{.accepts = 0xff, .form = Form::kAny};
constexpr Type kText{.accepts = kStr, .form = Form::kString};
constexpr Type kForgottenText{.accepts = kStr, .form = Form::kForgotten};
constexpr Type kTextOrNull{.accepts = kStr | kNull, .form = Form::kString};
constexpr Type kFlag{.accepts = kBool | kStr, .form = Form::kBool};
constexpr Type kCastFlag{.accepts = kBool | kStr, .form = Form::kBool, .cast = Cast::kBool};
constexpr Type kFlagSet{.accepts = kBool | kStr, .form = Form::kBoolSet};
constexpr Type kCastFlagSet{.accepts = kBool | kStr, .form = Form::kBoolSet, .cast = Cast::kBool};
constexpr Type kPlainFlag{.accepts = kBool, .form = Form::kBool};
constexpr Type kOptOutFlag{.accepts = kBool | kStr, .form = Form::kOptOut};
constexpr Type kInteger{.accepts = kInt | kStr, .form = Form::kInt};
constexpr Type kPlainInteger{.accepts = kInt, .form = Form::kInt};
constexpr Type kCastInteger{.accepts = kInt | kStr, .form = Form::kInt, .cast = Cast::kInt};
constexpr Type kCastIntegerSet{.accepts = kInt | kStr, .form = Form::kIntSet, .cast = Cast::kInt};
constexpr Type kNumberInteger{.accepts = kNum | kStr, .form = Form::kInt};
constexpr Type kPlainNumber{.accepts = kNum, .form = Form::kInt};
constexpr Type kCastNumberInteger{.accepts = kNum | kStr, .form = Form::kInt, .cast = Cast::kInt};
constexpr Type kRetries{.accepts = kNum | kStr, .form = Form::kIntSet, .cast = Cast::kInt};
constexpr Type kFloatNumber{.accepts = kNum | kStr, .form = Form::kFloat32, .cast = Cast::kFloat};
constexpr Type kNanoCpus{.accepts = kNum | kStr, .form = Form::kFloat32};
constexpr Type kByteNumber{.accepts = kNum | kStr, .form = Form::kBytes};
constexpr Type kByteInteger{.accepts = kInt | kStr, .form = Form::kBytes};
constexpr Type kByteText{.accepts = kStr, .form = Form::kBytes, .wants = "a size such as \"64m\""};
constexpr Type kTimeSpan{
    .accepts = kStr, .form = Form::kDuration, .wants = "a duration such as \"10s\""};
constexpr Type kTimeSpanNonZero{
    .accepts = kStr, .form = Form::kDurationSet, .wants = "a duration such as \"10s\""};

constexpr Type kTexts{.accepts = kSeq, .form = Form::kList, .item = &kText};
constexpr Type kUniqueTexts{
    .accepts = kSeq, .form = Form::kList, .item = &kText, .unique_items = true};
constexpr Type kDistinctTexts{.accepts = kSeq,
                              .form = Form::kList,
                              .item = &kText,
                              .unique = Unique::kKeyValue,
                              .unique_items = true};
constexpr Type kTextOrTexts{
    .accepts = kStr | kSeq, .form = Form::kList, .item = &kText, .unique_items = true};
constexpr Type kWatchPatterns{.accepts = kStr | kSeq,
                              .form = Form::kList,
                              .item = &kText,
                              .short_form = Short::kStringToList,
                              .unique_items = true};
constexpr Type kTextOrPrinted{.accepts = kStr | kNum, .form = Form::kString};

constexpr Type kPairs{.accepts = kMap | kSeq,
                      .form = Form::kKeyValue,
                      .merge = MergeRule::kToSequence,
                      .unique = Unique::kKeyValue,
                      .unique_items = true,
                      .item_accepts = kStr | kNum | kBool | kNull};
constexpr Type kLabelPairs{.accepts = kMap | kSeq,
                           .form = Form::kLabels,
                           .merge = MergeRule::kToSequence,
                           .unique = Unique::kKeyValue,
                           .unique_items = true,
                           .item_accepts = kStr | kNum | kBool | kNull};
constexpr Type kLoosePairs{.accepts = kMap | kSeq,
                           .form = Form::kLabels,
                           .unique_items = true,
                           .item_accepts = kStr | kNum | kBool | kNull};
constexpr Type kHookEnvironment{.accepts = kMap | kSeq,
                                .form = Form::kKeyValue,
                                .unique_items = true,
                                .item_accepts = kStr | kNum | kBool | kNull};
constexpr Type kMergedPairs{.accepts = kMap | kSeq,
                            .form = Form::kLabels,
                            .merge = MergeRule::kToSequence,
                            .unique_items = true,
                            .item_accepts = kStr | kNum | kBool | kNull};
constexpr Type kContexts{.accepts = kMap | kSeq,
                         .form = Form::kLabels,
                         .short_form = Short::kPairsToTable,
                         .merge = MergeRule::kToSequence,
                         .unique = Unique::kKeyValue,
                         .path = PathRule::kContext,
                         .unique_items = true,
                         .item_accepts = kStr | kNum | kBool | kNull};
constexpr Type kDriverOptions{.accepts = kMap, .form = Form::kOptions, .item_accepts = kStr | kNum};
constexpr Type kLogOptions{
    .accepts = kMap, .form = Form::kOptions, .item_accepts = kStr | kNum | kNull};
constexpr Type kTextOptions{.accepts = kMap, .form = Form::kOptions, .item_accepts = kStr};
constexpr Type kProviderOptions{
    .accepts = kMap, .form = Form::kMultiOptions, .item_accepts = kStr | kNum | kBool | kSeq};
constexpr Type kHostPairs{.accepts = kMap | kSeq,
                          .form = Form::kHosts,
                          .merge = MergeRule::kExtraHosts,
                          .unique_items = true,
                          .item_accepts = kStr | kSeq};

constexpr Type kCommandLine{.accepts = kNull | kStr | kSeq,
                            .form = Form::kCommand,
                            .item = &kText,
                            .merge = MergeRule::kReplace};
constexpr Type kHookCommand{.accepts = kNull | kStr | kSeq, .form = Form::kCommand, .item = &kText};

// ---- build

constexpr Type kMode{.accepts = kNum | kStr, .form = Form::kFileMode};
constexpr Field kFileMountFields[] = {
    {"source", &kText}, {"target", &kText}, {"uid", &kText}, {"gid", &kText}, {"mode", &kMode},
};
constexpr Type kFileMount{.accepts = kStr | kMap,
                          .form = Form::kStruct,
                          .fields = kFileMountFields,
                          .short_form = Short::kFileMount};
constexpr Type kBuildSecrets{.accepts = kSeq, .form = Form::kList, .item = &kFileMount};
constexpr Type kServiceSecrets{
    .accepts = kSeq, .form = Form::kList, .item = &kFileMount, .unique = Unique::kSecret};
constexpr Type kServiceConfigs{
    .accepts = kSeq, .form = Form::kList, .item = &kFileMount, .unique = Unique::kConfig};

constexpr Type kUlimitValue{.accepts = kInt | kStr, .form = Form::kInt, .cast = Cast::kInt};
constexpr Field kUlimitFields[] = {
    {"soft", &kUlimitValue, kRequired},
    {"hard", &kUlimitValue, kRequired},
};
constexpr Type kUlimit{.accepts = kInt | kStr | kMap,
                       .form = Form::kUlimit,
                       .fields = kUlimitFields,
                       .cast = Cast::kInt,
                       .merge = MergeRule::kReplace};
constexpr Type kUlimits{
    .accepts = kMap, .form = Form::kTable, .item = &kUlimit, .keys = Keys::kUlimit};
constexpr Type kBuildUlimit{
    .accepts = kInt | kStr | kMap, .form = Form::kUlimit, .fields = kUlimitFields};
constexpr Type kBuildUlimits{
    .accepts = kMap, .form = Form::kTable, .item = &kBuildUlimit, .keys = Keys::kUlimit};

constexpr Type kSshKeys{.accepts = kMap | kSeq,
                        .form = Form::kSsh,
                        .short_form = Short::kSsh,
                        .unique_items = true,
                        .item_accepts = kStr | kNum | kBool | kNull};
constexpr Type kAttestation{
    .accepts = kStr | kBool, .form = Form::kString, .short_form = Short::kPrinted};
constexpr Type kBuildContext{.accepts = kStr, .form = Form::kString, .path = PathRule::kContext};
constexpr Type kTags{
    .accepts = kSeq, .form = Form::kList, .item = &kText, .unique = Unique::kKeyValue};

constexpr Field kBuildFields[] = {
    {"context", &kBuildContext},
    {"dockerfile", &kText},
    {"dockerfile_inline", &kText},
    {"entitlements", &kTexts, kNotHonoured},
    {"args", &kPairs},
    {"provenance", &kAttestation, kNotHonoured},
    {"sbom", &kAttestation, kNotHonoured},
    {"ssh", &kSshKeys},
    {"labels", &kLabelPairs},
    {"cache_from", &kTexts},
    {"cache_to", &kTexts},
    {"no_cache", &kFlag},
    {"no_cache_filter", &kTextOrTexts},
    {"additional_contexts", &kContexts},
    {"pull", &kFlag},
    {"extra_hosts", &kHostPairs},
    {"isolation", &kText, kNotHonoured},
    {"network", &kText},
    {"target", &kText},
    {"secrets", &kBuildSecrets},
    {"shm_size", &kByteInteger},
    {"tags", &kTags},
    {"ulimits", &kBuildUlimits},
    {"platforms", &kTexts},
    {"privileged", &kFlag},
};
constexpr Type kBuild{.accepts = kStr | kMap,
                      .form = Form::kStruct,
                      .fields = kBuildFields,
                      .short_form = Short::kBuild,
                      .merge = MergeRule::kBuild};

// ---- develop, hooks

constexpr Field kHookFields[] = {
    {"command", &kHookCommand, kRequired},
    {"user", &kText},
    {"privileged", &kFlag},
    {"working_dir", &kText},
    {"environment", &kHookEnvironment},
};
constexpr Type kHook{.accepts = kMap, .form = Form::kStruct, .fields = kHookFields};
constexpr Type kHooks{.accepts = kSeq, .form = Form::kList, .item = &kHook};
constexpr Field kPreStartFields[] = {
    {"command", &kHookCommand}, {"image", &kText},       {"user", &kText},
    {"privileged", &kFlag},     {"working_dir", &kText}, {"environment", &kHookEnvironment},
    {"per_replica", &kFlag},
};
constexpr Type kPreStartHook{.accepts = kMap, .form = Form::kStruct, .fields = kPreStartFields};
constexpr Type kPreStartHooks{.accepts = kSeq, .form = Form::kList, .item = &kPreStartHook};

constexpr std::string_view kWatchActions[] = {"rebuild", "sync", "restart", "sync+restart",
                                              "sync+exec"};
constexpr Type kWatchAction{.accepts = kStr, .form = Form::kString, .values = kWatchActions};
constexpr Type kWatchPath{.accepts = kStr, .form = Form::kString, .path = PathRule::kWatch};
constexpr Field kTriggerFields[] = {
    {"path", &kWatchPath, kRequired},
    {"action", &kWatchAction, kRequired},
    {"target", &kText},
    {"exec", &kHook, kJsonAlways},
    {"include", &kWatchPatterns},
    {"ignore", &kWatchPatterns},
    {"initial_sync", &kPlainFlag},
};
constexpr Type kTrigger{.accepts = kMap, .form = Form::kStruct, .fields = kTriggerFields};
constexpr Type kTriggers{.accepts = kSeq, .form = Form::kList, .item = &kTrigger};
constexpr Field kDevelopFields[] = {{"watch", &kTriggers}};
constexpr Type kDevelop{.accepts = kMap | kNull, .form = Form::kStruct, .fields = kDevelopFields};

// ---- block input and output

constexpr Field kWeightFields[] = {{"path", &kText, kJsonCapital},
                                   {"weight", &kInteger, kJsonCapital}};
constexpr Type kWeight{
    .accepts = kMap, .form = Form::kStruct, .fields = kWeightFields, .extensible = false};
constexpr Type kWeights{.accepts = kSeq, .form = Form::kList, .item = &kWeight};
constexpr Field kRateFields[] = {{"path", &kText, kJsonCapital},
                                 {"rate", &kByteInteger, kJsonCapital}};
constexpr Type kRate{
    .accepts = kMap, .form = Form::kStruct, .fields = kRateFields, .extensible = false};
constexpr Type kRates{.accepts = kSeq, .form = Form::kList, .item = &kRate};
constexpr Field kBlkioFields[] = {
    {"weight", &kInteger},         {"weight_device", &kWeights},  {"device_read_bps", &kRates},
    {"device_read_iops", &kRates}, {"device_write_bps", &kRates}, {"device_write_iops", &kRates},
};
constexpr Type kBlkio{
    .accepts = kMap, .form = Form::kStruct, .fields = kBlkioFields, .extensible = false};

// ---- deploy

constexpr Type kDeviceCount{.accepts = kStr | kInt, .form = Form::kDeviceCount};
constexpr Field kDeviceFields[] = {
    {"capabilities", &kUniqueTexts, kRequired},
    {"driver", &kText},
    {"count", &kDeviceCount},
    {"device_ids", &kUniqueTexts},
    {"options", &kLoosePairs},
};
constexpr Type kDeviceRequest{.accepts = kMap, .form = Form::kStruct, .fields = kDeviceFields};
constexpr Type kDeviceRequests{.accepts = kSeq, .form = Form::kList, .item = &kDeviceRequest};
constexpr Field kGpuFields[] = {
    {"capabilities", &kUniqueTexts}, {"driver", &kText},        {"count", &kDeviceCount},
    {"device_ids", &kUniqueTexts},   {"options", &kLoosePairs},
};
constexpr Type kGpu{.accepts = kMap, .form = Form::kStruct, .fields = kGpuFields};
constexpr std::string_view kGpuWords[] = {"all"};
constexpr Type kGpus{.accepts = kStr | kSeq,
                     .form = Form::kList,
                     .item = &kGpu,
                     .values = kGpuWords,
                     .short_form = Short::kGpus};

constexpr Field kDiscreteFields[] = {{"kind", &kText}, {"value", &kNumberInteger}};
constexpr Type kDiscrete{.accepts = kMap, .form = Form::kStruct, .fields = kDiscreteFields};
constexpr Field kGenericFields[] = {{"discrete_resource_spec", &kDiscrete}};
constexpr Type kGeneric{.accepts = kMap, .form = Form::kStruct, .fields = kGenericFields};
constexpr Type kGenerics{.accepts = kSeq, .form = Form::kList, .item = &kGeneric};
constexpr Field kLimitFields[] = {
    {"cpus", &kNanoCpus},
    {"memory", &kByteText},
    {"pids", &kInteger},
};
constexpr Type kLimits{.accepts = kMap, .form = Form::kStruct, .fields = kLimitFields};
constexpr Field kReservationFields[] = {
    {"cpus", &kNanoCpus, kNotHonoured},
    {"memory", &kByteText},
    {"devices", &kDeviceRequests, kNotHonoured},
    {"generic_resources", &kGenerics, kNotHonoured},
};
constexpr Type kReservations{.accepts = kMap, .form = Form::kStruct, .fields = kReservationFields};
constexpr Field kResourcesFields[] = {{"limits", &kLimits}, {"reservations", &kReservations}};
constexpr Type kResources{.accepts = kMap, .form = Form::kStruct, .fields = kResourcesFields};

constexpr std::string_view kUpdateOrders[] = {"start-first", "stop-first"};
constexpr Type kUpdateOrder{.accepts = kStr, .form = Form::kString, .values = kUpdateOrders};
constexpr Type kFailureRatio{.accepts = kNum | kStr, .form = Form::kFloat32, .cast = Cast::kFloat};
constexpr Field kUpdateFields[] = {
    {"parallelism", &kCastIntegerSet},
    {"delay", &kTimeSpanNonZero},
    {"failure_action", &kText},
    {"monitor", &kTimeSpanNonZero},
    {"max_failure_ratio", &kFailureRatio},
    {"order", &kUpdateOrder},
};
constexpr Type kUpdate{.accepts = kMap, .form = Form::kStruct, .fields = kUpdateFields};
constexpr Field kRestartPolicyFields[] = {
    {"condition", &kText},
    {"delay", &kTimeSpan, kNotHonoured},
    {"max_attempts", &kCastIntegerSet},
    {"window", &kTimeSpan, kNotHonoured},
};
constexpr Type kRestartPolicy{
    .accepts = kMap, .form = Form::kStruct, .fields = kRestartPolicyFields};
constexpr Field kPreferenceFields[] = {{"spread", &kText}};
constexpr Type kPreference{.accepts = kMap, .form = Form::kStruct, .fields = kPreferenceFields};
constexpr Type kPreferences{.accepts = kSeq, .form = Form::kList, .item = &kPreference};
constexpr Field kPlacementFields[] = {
    {"constraints", &kTexts},
    {"preferences", &kPreferences},
    {"max_replicas_per_node", &kCastInteger},
};
constexpr Type kPlacement{.accepts = kMap, .form = Form::kStruct, .fields = kPlacementFields};
constexpr Field kDeployFields[] = {
    {"mode", &kText},
    {"replicas", &kCastIntegerSet},
    {"labels", &kLabelPairs, kNotHonoured},
    {"update_config", &kUpdate, kNotHonoured},
    {"rollback_config", &kUpdate, kNotHonoured},
    {"resources", &kResources, kJsonAlways},
    {"restart_policy", &kRestartPolicy},
    {"placement", &kPlacement, kJsonAlways | kNotHonoured},
    {"endpoint_mode", &kText, kNotHonoured},
};
constexpr Type kDeploy{.accepts = kMap | kNull, .form = Form::kStruct, .fields = kDeployFields};

// ---- parts of a service

constexpr Field kCredentialFields[] = {{"config", &kText}, {"file", &kText}, {"registry", &kText}};
constexpr Type kCredential{.accepts = kMap, .form = Form::kStruct, .fields = kCredentialFields};

constexpr std::string_view kConditions[] = {"service_started", "service_healthy",
                                            "service_completed_successfully"};
constexpr Type kConditionText{.accepts = kStr, .form = Form::kString, .values = kConditions};
constexpr Type kRequiredFlag{.accepts = kBool, .form = Form::kBoolSet, .cast = Cast::kBool};
constexpr Field kDependencyFields[] = {
    {"condition", &kConditionText, kCondition},
    {"restart", &kCastFlag},
    {"required", &kRequiredFlag},
};
constexpr Type kDependency{.accepts = kMap, .form = Form::kStruct, .fields = kDependencyFields};
constexpr Type kDependsOn{.accepts = kMap | kSeq,
                          .form = Form::kTable,
                          .item = &kDependency,
                          .short_form = Short::kDependsOn,
                          .merge = MergeRule::kDependsOn,
                          .keys = Keys::kName,
                          .unique_items = true};

constexpr Field kDeviceMappingFields[] = {
    {"source", &kText, kRequired}, {"target", &kText}, {"permissions", &kText}};
constexpr Type kDeviceMapping{.accepts = kStr | kMap,
                              .form = Form::kStruct,
                              .fields = kDeviceMappingFields,
                              .short_form = Short::kDevice};
constexpr Type kDevices{
    .accepts = kSeq, .form = Form::kList, .item = &kDeviceMapping, .unique = Unique::kDevice};

constexpr Type kDns{.accepts = kStr | kSeq,
                    .form = Form::kList,
                    .item = &kText,
                    .short_form = Short::kStringToList,
                    .merge = MergeRule::kToSequence,
                    .unique = Unique::kKeyValue,
                    .unique_items = true};
constexpr Type kDnsOptions{.accepts = kSeq,
                           .form = Form::kList,
                           .item = &kText,
                           .merge = MergeRule::kToSequence,
                           .unique = Unique::kKeyValue,
                           .unique_items = true};
constexpr Type kDnsSearch{.accepts = kStr | kSeq,
                          .form = Form::kList,
                          .item = &kText,
                          .merge = MergeRule::kToSequence,
                          .unique = Unique::kKeyValue,
                          .unique_items = true};

constexpr Type kEnvFilePath{.accepts = kStr, .form = Form::kString, .path = PathRule::kFile};
constexpr Field kEnvFileFields[] = {
    {"path", &kEnvFilePath, kRequired}, {"required", &kOptOutFlag}, {"format", &kText}};
constexpr Type kEnvFileEntry{
    .accepts = kStr | kMap, .form = Form::kStruct, .fields = kEnvFileFields, .extensible = false};
constexpr Type kEnvFiles{.accepts = kStr | kSeq,
                         .form = Form::kList,
                         .item = &kEnvFileEntry,
                         .short_form = Short::kEnvFile,
                         .merge = MergeRule::kToSequence,
                         .unique = Unique::kEnvFile};
constexpr Type kLabelFilePath{.accepts = kStr, .form = Form::kString, .path = PathRule::kFile};
constexpr Type kLabelFiles{.accepts = kStr | kSeq,
                           .form = Form::kList,
                           .item = &kLabelFilePath,
                           .short_form = Short::kStringToList,
                           .merge = MergeRule::kToSequence};
constexpr Type kExpose{.accepts = kSeq,
                       .form = Form::kPrintedList,
                       .item = &kTextOrPrinted,
                       .unique = Unique::kExpose,
                       .unique_items = true};
constexpr Type kExtendsFile{.accepts = kStr, .form = Form::kString, .path = PathRule::kExtends};
constexpr Field kExtendsFields[] = {{"file", &kExtendsFile}, {"service", &kText, kRequired}};
constexpr Type kExtends{.accepts = kStr | kMap,
                        .form = Form::kStruct,
                        .fields = kExtendsFields,
                        .short_form = Short::kExtends,
                        .extensible = false};
constexpr Type kGroups{
    .accepts = kSeq, .form = Form::kPrintedList, .item = &kTextOrPrinted, .unique_items = true};

constexpr Type kHealthTest{.accepts = kStr | kSeq,
                           .form = Form::kHealthTest,
                           .item = &kText,
                           .merge = MergeRule::kReplace};
constexpr Field kHealthFields[] = {
    {"test", &kHealthTest},  {"timeout", &kTimeSpan},      {"interval", &kTimeSpan},
    {"retries", &kRetries},  {"start_period", &kTimeSpan}, {"start_interval", &kTimeSpan},
    {"disable", &kCastFlag},
};
constexpr Type kHealthcheck{.accepts = kMap, .form = Form::kStruct, .fields = kHealthFields};
constexpr Field kLoggingFields[] = {{"driver", &kText}, {"options", &kLogOptions}};
constexpr Type kLogging{
    .accepts = kMap, .form = Form::kStruct, .fields = kLoggingFields, .merge = MergeRule::kLogging};

constexpr Field kServiceModelFields[] = {{"endpoint_var", &kText}, {"model_var", &kText}};
constexpr Type kServiceModel{
    .accepts = kMap | kNull, .form = Form::kStruct, .fields = kServiceModelFields};
constexpr Type kServiceModels{.accepts = kMap | kSeq,
                              .form = Form::kTable,
                              .item = &kServiceModel,
                              .short_form = Short::kNamesToTable,
                              .merge = MergeRule::kNames,
                              .keys = Keys::kNameLoose,
                              .unique_items = true};
constexpr Field kServiceNetworkFields[] = {
    {"aliases", &kDistinctTexts},
    {"driver_opts", &kDriverOptions, kNotHonoured},
    {"gw_priority", &kPlainNumber},
    {"interface_name", &kText},
    {"ipv4_address", &kText},
    {"ipv6_address", &kText},
    {"link_local_ips", &kDistinctTexts},
    {"mac_address", &kText},
    {"priority", &kPlainNumber},
};
constexpr Type kServiceNetwork{
    .accepts = kMap | kNull, .form = Form::kStruct, .fields = kServiceNetworkFields};
constexpr Type kServiceNetworks{.accepts = kMap | kSeq,
                                .form = Form::kTable,
                                .item = &kServiceNetwork,
                                .short_form = Short::kNamesToTable,
                                .merge = MergeRule::kNames,
                                .keys = Keys::kName,
                                .unique_items = true};

constexpr Type kPortTarget{.accepts = kInt | kStr, .form = Form::kInt, .cast = Cast::kInt};
constexpr Type kPublished{.accepts = kStr | kInt, .form = Form::kString};
constexpr Field kPortFields[] = {
    {"name", &kText},
    {"mode", &kText},
    {"host_ip", &kText},
    {"target", &kPortTarget},
    {"published", &kPublished},
    {"protocol", &kText},
    {"app_protocol", &kText, kNotHonoured},
};
constexpr Type kPort{.accepts = kNum | kStr | kMap, .form = Form::kStruct, .fields = kPortFields};
constexpr Type kPorts{.accepts = kSeq,
                      .form = Form::kList,
                      .item = &kPort,
                      .short_form = Short::kPorts,
                      .unique = Unique::kPort,
                      .unique_items = true};

constexpr Type kProviderType{.accepts = kStr, .form = Form::kString};
constexpr Field kProviderFields[] = {{"type", &kProviderType, kRequired},
                                     {"options", &kProviderOptions}};
constexpr Type kProvider{.accepts = kMap, .form = Form::kStruct, .fields = kProviderFields};

// ---- mounts

constexpr std::string_view kMountTypes[] = {"bind", "volume", "tmpfs", "cluster", "npipe", "image"};
constexpr Type kMountType{.accepts = kStr, .form = Form::kString, .values = kMountTypes};
constexpr std::string_view kRecursions[] = {"enabled", "disabled", "writable", "readonly"};
constexpr Type kRecursion{.accepts = kStr, .form = Form::kString, .values = kRecursions};
constexpr std::string_view kSelinuxModes[] = {"z", "Z"};
constexpr Type kSelinux{.accepts = kStr, .form = Form::kString, .values = kSelinuxModes};
constexpr Field kBindFields[] = {
    {"selinux", &kSelinux},
    {"propagation", &kText},
    {"create_host_path", &kOptOutFlag},
    {"recursive", &kRecursion},
};
constexpr Type kBind{.accepts = kMap, .form = Form::kStruct, .fields = kBindFields};
constexpr Field kMountVolumeFields[] = {
    {"labels", &kMergedPairs}, {"nocopy", &kCastFlag}, {"subpath", &kText}};
constexpr Type kMountVolume{.accepts = kMap, .form = Form::kStruct, .fields = kMountVolumeFields};
constexpr Type kTmpfsSize{.accepts = kInt | kStr, .form = Form::kBytes, .minimum = 0};
constexpr Field kTmpfsFields[] = {{"size", &kTmpfsSize}, {"mode", &kNumberInteger}};
constexpr Type kTmpfsOptions{.accepts = kMap, .form = Form::kStruct, .fields = kTmpfsFields};
constexpr Field kMountImageFields[] = {{"subpath", &kText}};
constexpr Type kMountImage{.accepts = kMap, .form = Form::kStruct, .fields = kMountImageFields};
constexpr Field kMountFields[] = {
    {"type", &kMountType, kRequired}, {"source", &kText},        {"target", &kText},
    {"read_only", &kCastFlag},        {"consistency", &kText},   {"bind", &kBind},
    {"volume", &kMountVolume},        {"tmpfs", &kTmpfsOptions}, {"image", &kMountImage},
};
constexpr Type kMount{.accepts = kStr | kMap,
                      .form = Form::kStruct,
                      .fields = kMountFields,
                      .short_form = Short::kVolume,
                      .path = PathRule::kMount};
constexpr Type kMounts{.accepts = kSeq,
                       .form = Form::kList,
                       .item = &kMount,
                       .unique = Unique::kVolume,
                       .unique_items = true};

// ---- service

constexpr Type kContainerName{
    .accepts = kStr, .form = Form::kString, .pattern = Pattern::kContainerName};
constexpr Type kPullPolicy{.accepts = kStr, .form = Form::kString, .pattern = Pattern::kPullPolicy};
constexpr std::string_view kCgroups[] = {"host", "private"};
constexpr Type kCgroup{.accepts = kStr, .form = Form::kString, .values = kCgroups};
constexpr Type kCpuCount{
    .accepts = kInt | kStr, .form = Form::kInt, .cast = Cast::kInt, .minimum = 0};
constexpr Type kCpuPercent{.accepts = kInt | kStr,
                           .form = Form::kFloat32,
                           .cast = Cast::kFloat,
                           .minimum = 0,
                           .maximum = 100};
constexpr Type kOomScore{.accepts = kInt | kStr,
                         .form = Form::kInt,
                         .cast = Cast::kInt,
                         .minimum = -1000,
                         .maximum = 1000};
constexpr Type kSysctls{.accepts = kMap | kSeq,
                        .form = Form::kLabels,
                        .merge = MergeRule::kToSequence,
                        .unique = Unique::kKeyValue,
                        .unique_items = true,
                        .item_accepts = kStr | kNum | kBool | kNull};
constexpr Type kTmpfs{.accepts = kStr | kSeq,
                      .form = Form::kList,
                      .item = &kText,
                      .merge = MergeRule::kToSequence,
                      .unique = Unique::kKeyValue,
                      .unique_items = true};
constexpr Type kStorage{.accepts = kMap, .form = Form::kOptions, .item_accepts = 0xff};

constexpr Field kServiceFields[] = {
    {"profiles", &kDistinctTexts},
    {"annotations", &kLabelPairs},
    {"attach", &kFlagSet},
    {"build", &kBuild},
    {"develop", &kDevelop},
    {"blkio_config", &kBlkio, kNotHonoured},
    {"cap_add", &kDistinctTexts},
    {"cap_drop", &kDistinctTexts},
    {"cgroup_parent", &kText},
    {"cgroup", &kCgroup},
    {"cpu_count", &kCpuCount, kNotHonoured},
    {"cpu_percent", &kCpuPercent, kNotHonoured},
    {"cpu_period", &kCastNumberInteger},
    {"cpu_quota", &kCastNumberInteger},
    {"cpu_rt_period", &kCastNumberInteger, kNotHonoured},
    {"cpu_rt_runtime", &kCastNumberInteger, kNotHonoured},
    {"cpus", &kFloatNumber},
    {"cpuset", &kText},
    {"cpu_shares", &kCastNumberInteger},
    {"command", &kCommandLine},
    {"configs", &kServiceConfigs},
    {"container_name", &kContainerName},
    {"credential_spec", &kCredential, kNotHonoured},
    {"depends_on", &kDependsOn},
    {"deploy", &kDeploy},
    {"device_cgroup_rules", &kUniqueTexts},
    {"devices", &kDevices},
    {"dns", &kDns},
    {"dns_opt", &kDnsOptions},
    {"dns_search", &kDnsSearch},
    {"domainname", &kText},
    {"entrypoint", &kCommandLine},
    {"provider", &kProvider, kNotHonoured},
    {"environment", &kPairs},
    {"env_file", &kEnvFiles},
    {"expose", &kExpose},
    {"extends", &kExtends},
    {"external_links", &kUniqueTexts, kNotHonoured},
    {"extra_hosts", &kHostPairs},
    {"group_add", &kGroups},
    {"gpus", &kGpus, kNotHonoured},
    {"hostname", &kText},
    {"healthcheck", &kHealthcheck},
    {"image", &kText},
    {"init", &kCastFlagSet},
    {"ipc", &kText},
    {"isolation", &kText, kNotHonoured},
    {"labels", &kLabelPairs},
    {"label_file", &kLabelFiles},
    {"links", &kDistinctTexts},
    {"logging", &kLogging},
    {"mem_limit", &kByteNumber},
    {"mem_reservation", &kByteInteger},
    {"memswap_limit", &kByteNumber},
    {"mem_swappiness", &kByteInteger},
    {"mac_address", &kText},
    {"models", &kServiceModels, kNotHonoured},
    {"network_mode", &kText},
    {"networks", &kServiceNetworks},
    {"oom_kill_disable", &kCastFlag},
    {"oom_score_adj", &kOomScore},
    {"pid", &kTextOrNull},
    {"pids_limit", &kCastNumberInteger},
    {"platform", &kText},
    {"ports", &kPorts},
    {"privileged", &kCastFlag},
    {"pull_policy", &kPullPolicy},
    {"pull_refresh_after", &kForgottenText},
    {"read_only", &kCastFlag},
    {"restart", &kText},
    {"runtime", &kText, kNotHonoured},
    {"scale", &kCastIntegerSet},
    {"secrets", &kServiceSecrets},
    {"security_opt", &kUniqueTexts},
    {"shm_size", &kByteNumber},
    {"stdin_open", &kCastFlag},
    {"stop_grace_period", &kTimeSpan},
    {"stop_signal", &kText},
    {"storage_opt", &kStorage, kNotHonoured},
    {"sysctls", &kSysctls},
    {"tmpfs", &kTmpfs},
    {"tty", &kCastFlag},
    {"ulimits", &kUlimits},
    {"use_api_socket", &kPlainFlag, kNotHonoured},
    {"user", &kText},
    {"userns_mode", &kText, kNotHonoured},
    {"uts", &kText},
    {"volumes", &kMounts},
    {"volumes_from", &kUniqueTexts},
    {"working_dir", &kText},
    {"pre_start", &kPreStartHooks},
    {"post_start", &kHooks},
    {"pre_stop", &kHooks},
};

// ---- top level

constexpr Field kExternalFields[] = {{"name", &kText, kDeprecated}};
constexpr Type kExternal{.accepts = kBool | kStr | kMap,
                         .form = Form::kBool,
                         .fields = kExternalFields,
                         .cast = Cast::kBool};
constexpr Field kPoolFields[] = {
    {"subnet", &kText},
    {"gateway", &kText},
    {"ip_range", &kText},
    {"aux_addresses", &kTextOptions},
};
constexpr Type kPool{.accepts = kMap, .form = Form::kStruct, .fields = kPoolFields};
constexpr Type kPools{
    .accepts = kSeq, .form = Form::kList, .item = &kPool, .merge = MergeRule::kIpamConfig};
constexpr Field kIpamFields[] = {
    {"driver", &kText}, {"config", &kPools}, {"options", &kTextOptions, kNotHonoured}};
constexpr Type kIpam{.accepts = kMap, .form = Form::kStruct, .fields = kIpamFields};
constexpr Field kNetworkFields[] = {
    {"name", &kText},
    {"driver", &kText},
    {"driver_opts", &kDriverOptions},
    {"ipam", &kIpam, kJsonAlways},
    {"external", &kExternal},
    {"internal", &kCastFlag},
    {"attachable", &kCastFlag},
    {"labels", &kLabelPairs},
    {"enable_ipv4", &kCastFlagSet},
    {"enable_ipv6", &kCastFlagSet},
};
constexpr Field kVolumeFields[] = {
    {"name", &kText},         {"driver", &kText},        {"driver_opts", &kDriverOptions},
    {"external", &kExternal}, {"labels", &kMergedPairs},
};
constexpr Type kObjectFile{.accepts = kStr, .form = Form::kString, .path = PathRule::kMountable};
constexpr Field kSecretFields[] = {
    {"name", &kText},
    {"file", &kObjectFile},
    {"environment", &kText},
    {"external", &kExternal},
    {"labels", &kLoosePairs},
    {"driver", &kText, kNotHonoured},
    {"driver_opts", &kDriverOptions, kNotHonoured},
    {"template_driver", &kText, kNotHonoured},
};
constexpr Field kConfigFields[] = {
    {"name", &kText},
    {"file", &kObjectFile},
    {"environment", &kText},
    {"content", &kText},
    {"external", &kExternal},
    {"labels", &kLoosePairs},
    {"template_driver", &kText, kNotHonoured},
};
constexpr Field kModelFields[] = {
    {"name", &kText},
    {"model", &kText, kRequired},
    {"context_size", &kPlainInteger},
    {"runtime_flags", &kTexts},
};
constexpr Type kModel{.accepts = kMap, .form = Form::kStruct, .fields = kModelFields};

}  // namespace

constexpr Type kService{.accepts = kMap, .form = Form::kStruct, .fields = kServiceFields};
constexpr Type kNetwork{.accepts = kMap | kNull,
                        .form = Form::kStruct,
                        .fields = kNetworkFields,
                        .short_form = Short::kExternal};
constexpr Type kVolume{.accepts = kMap | kNull,
                       .form = Form::kStruct,
                       .fields = kVolumeFields,
                       .short_form = Short::kExternal,
                       .path = PathRule::kDriver};
constexpr Type kSecret{.accepts = kMap,
                       .form = Form::kStruct,
                       .fields = kSecretFields,
                       .short_form = Short::kExternal};
constexpr Type kConfig{.accepts = kMap,
                       .form = Form::kStruct,
                       .fields = kConfigFields,
                       .short_form = Short::kExternal};

namespace {

constexpr Type kIncludePaths{
    .accepts = kStr | kSeq, .form = Form::kList, .item = &kText, .unique_items = true};
constexpr Field kIncludeFields[] = {
    {"path", &kIncludePaths}, {"env_file", &kIncludePaths}, {"project_directory", &kText}};

}  // namespace

constexpr Type kInclude{.accepts = kStr | kMap,
                        .form = Form::kStruct,
                        .fields = kIncludeFields,
                        .short_form = Short::kInclude,
                        .extensible = false};

namespace {

constexpr Type kServices{
    .accepts = kMap, .form = Form::kTable, .item = &kService, .keys = Keys::kName};
constexpr Type kNetworks{
    .accepts = kMap, .form = Form::kTable, .item = &kNetwork, .keys = Keys::kNameLoose};
constexpr Type kVolumes{
    .accepts = kMap, .form = Form::kTable, .item = &kVolume, .keys = Keys::kName};
constexpr Type kSecrets{
    .accepts = kMap, .form = Form::kTable, .item = &kSecret, .keys = Keys::kName};
constexpr Type kConfigs{
    .accepts = kMap, .form = Form::kTable, .item = &kConfig, .keys = Keys::kName};
constexpr Type kModels{
    .accepts = kMap, .form = Form::kTable, .item = &kModel, .keys = Keys::kNameLoose};
constexpr Type kIncludes{.accepts = kSeq, .form = Form::kList, .item = &kInclude};

constexpr Field kFileFields[] = {
    {"version", &kText, kDeprecated}, {"name", &kText},         {"include", &kIncludes},
    {"services", &kServices},         {"networks", &kNetworks}, {"volumes", &kVolumes},
    {"secrets", &kSecrets},           {"configs", &kConfigs},   {"models", &kModels, kNotHonoured},
};

}  // namespace

constexpr Type kComposeFile{.accepts = kMap, .form = Form::kStruct, .fields = kFileFields};

const Field* FindField(const Type& type, std::string_view name) {
  for (const Field& field : type.fields) {
    if (field.name == name) return &field;
  }
  return nullptr;
}

const Type* ChildType(const Type& type, std::string_view key) {
  if (type.form == Form::kTable) return type.item;
  const Field* field = FindField(type, key);
  return field == nullptr ? nullptr : field->type;
}

}  // namespace skiff::schema
