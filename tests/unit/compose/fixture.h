#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <mutex>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "base/identity.h"
#include "compose/execute.h"
#include "compose/observe.h"
#include "compose/plan.h"
#include "compose/use_cases.h"
#include "engine-core/fake_engine.h"

namespace skiff::compose {

// Compares with tests/golden/compose/NAME; SKIFF_UPDATE_GOLDEN=1 writes it.
inline void ExpectGolden(const std::string& name, const std::string& text) {
  const std::string path = std::string(SKIFF_GOLDEN) + "/" + name;
  if (std::getenv("SKIFF_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path) << text;
    return;
  }
  std::ifstream file(path);
  ASSERT_TRUE(file) << path << " is missing; the text is:\n" << text;
  std::stringstream expected;
  expected << file.rdbuf();
  EXPECT_EQ(expected.str(), text) << "of " << name;
}

// Remembers what was reported: "Container p-web-1 Creating".
class RecordingProgress : public Progress {
 public:
  void Begin(std::string_view operation) override { Add("begin " + std::string(operation)); }
  void Report(const ProgressEvent& event) override {
    Add(event.id + " " + event.status + (event.details.empty() ? "" : ": " + event.details));
  }
  void Diagnose(const Diagnostic& diagnostic) override {
    Add((diagnostic.severity == Severity::kWarning ? "warning: " : "error: ") +
        diagnostic.error.Text());
  }
  void Message(std::string_view text) override { Add(std::string(text)); }
  void End(bool ok) override { Add(ok ? "end" : "end failed"); }

  // Called with every line, on the thread that reports it: how tests act at a certain point.
  std::function<void(const std::string& line)> on_line;

  std::vector<std::string> lines() const {
    const std::lock_guard lock(mutex_);
    return lines_;
  }
  bool Has(const std::string& line) const {
    const std::lock_guard lock(mutex_);
    return std::find(lines_.begin(), lines_.end(), line) != lines_.end();
  }

 private:
  void Add(const std::string& line) {
    {
      const std::lock_guard lock(mutex_);
      lines_.push_back(line);
    }
    if (on_line) on_line(line);
  }
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

// A project "p" made by hand, with a fake engine that has the image busybox.
class ComposeTest : public ::testing::Test {
 protected:
  ComposeTest() {
    project_.name = "p";
    project_.working_dir = "/srv/p";
    project_.files = {"/srv/p/compose.yaml"};
    schema::Network network;
    network.key = "default";
    network.name = "p_default";
    network.hashed_json = "{}";
    project_.networks["default"] = network;
    engine_.AddImage("busybox");
    context_.engine = &engine_;
    context_.progress = &progress_;
    context_.parallel = 1;
    std::string folder = ::testing::TempDir() + "skiff-compose-XXXXXX";
    state_dir_ = mkdtemp(folder.data());
    context_.state_dir = state_dir_;
  }
  ~ComposeTest() override { EXPECT_TRUE(RemoveTree(state_dir_)); }

  schema::Service& AddService(const std::string& name) {
    schema::Service& service = project_.services[name];
    service.name = name;
    service.image = "busybox";
    schema::ServiceNetwork network;
    network.network = "default";
    service.networks.push_back(network);
    return service;
  }
  void Depend(const std::string& service, const std::string& on,
              schema::DependencyCondition condition = schema::DependencyCondition::kStarted,
              bool restart = false) {
    schema::Dependency dependency;
    dependency.service = on;
    dependency.condition = condition;
    dependency.restart = restart;
    project_.services[service].depends_on.push_back(dependency);
  }
  static void AddHealthcheck(schema::Service& service) {
    service.healthcheck.emplace();
    service.healthcheck->test = {"CMD", "true"};
  }
  static void AddPort(schema::Service& service, uint16_t target, const std::string& published) {
    schema::Port port;
    port.target = target;
    port.published = published;
    service.ports.push_back(port);
  }
  void AddVolume(const std::string& key) {
    schema::Volume& volume = project_.volumes[key];
    volume.key = key;
    volume.name = "p_" + key;
    volume.hashed_json = "{}";
  }
  static void Mount(schema::Service& service, const std::string& source,
                    const std::string& target) {
    schema::VolumeMount mount;
    mount.source = source;
    mount.target = target;
    service.volumes.push_back(mount);
  }

  // What the loader does: the hashed form of each service.
  void Seal() {
    for (auto& [name, service] : project_.services) {
      nlohmann::json json;
      json["image"] = service.image;
      if (service.command) json["command"] = *service.command;
      for (const auto& [key, value] : service.environment) {
        json["environment"][key] = value ? nlohmann::json(*value) : nlohmann::json();
      }
      for (const schema::Port& port : service.ports) json["ports"].push_back(port.published);
      if (!service.network_mode.empty()) json["network_mode"] = service.network_mode;
      service.hashed_json = json.dump();
    }
  }

  Result<Plan> MakeUpPlan(const PlanOptions& options = {}) {
    Seal();
    auto observed = Observe(engine_, project_.name);
    if (!observed) return Fail(observed.error());
    return MakePlan(project_, *observed, options);
  }
  std::string UpPlanText(const PlanOptions& options = {}) {
    const auto plan = MakeUpPlan(options);
    if (!plan) return "error: " + plan.error().Text() + "\n";
    std::string text = PlanToText(*plan);
    for (const Diagnostic& warning : plan->warnings.list()) {
      text += "warning: " + warning.error.Text() + "\n";
    }
    return text;
  }
  Status UpNow(const PlanOptions& options = {}) {
    auto plan = MakeUpPlan(options);
    if (!plan) return Fail(plan.error());
    ExecuteOptions execute;
    execute.parallel = 1;
    return Execute(*plan, engine_, progress_, execute);
  }
  std::string ErrorOf(const Result<Plan>& plan) {
    if (plan) return "no error";
    std::string text = plan.error().Text();
    for (const Note& note : plan.error().notes) text += "\nnote: " + note.message;
    return text;
  }

  schema::Project project_;
  engine::FakeEngine engine_;
  RecordingProgress progress_;
  Context context_;
  std::string state_dir_;
};

}  // namespace skiff::compose
