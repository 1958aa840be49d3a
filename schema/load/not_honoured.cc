#include "schema/load/project_model.h"

namespace skiff::schema {
namespace {

void Walk(const Node& node, const Type& type, const Where& where, Diagnostics& warnings) {
  if (node.IsSequence() && type.item != nullptr && type.form != Form::kTable) {
    for (size_t i = 0; i < node.entries.size(); ++i) {
      Walk(node.entries[i].value, *type.item, where.Index(i), warnings);
    }
    return;
  }
  if (!node.IsMapping()) return;
  for (const Entry& entry : node.entries) {
    if (entry.value.output == Node::Output::kJsonOnly) continue;
    const Where here = where.Key(entry.key);
    const Field* field = type.form == Form::kTable ? nullptr : FindField(type, entry.key);
    if (field != nullptr && (field->flags & kNotHonoured) != 0) {
      warnings.AddWarning(Error(Code::kUnsupported, here.Text() + ": is not supported yet and has "
                                                                  "no effect")
                              .At(entry.key_span));
      continue;
    }
    const Type* child = ChildType(type, entry.key);
    if (child != nullptr) Walk(entry.value, *child, here, warnings);
  }
}

}  // namespace

void WarnNotHonoured(const Node& model, Diagnostics& warnings) {
  Walk(model, kComposeFile, Where{}, warnings);
  warnings.SortAndDeduplicate();
}

}  // namespace skiff::schema
