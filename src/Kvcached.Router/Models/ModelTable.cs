using System.Collections.Frozen;
using System.Collections.Immutable;
using Kvcached.Router.Traffic;

namespace Kvcached.Router.Models;

/// <summary>The models there are, by name and alias. Read without a lock, changed as a whole.</summary>
internal sealed class ModelTable(TimeProvider time, Action<ModelGate> whenWakeWanted)
{
    private readonly Lock _changing = new();
    private Snapshot _snapshot = new([], FrozenDictionary<string, ServedModel>.Empty);

    /// <summary>All of them, in the configuration's order.</summary>
    public ImmutableArray<ServedModel> Models => Volatile.Read(ref _snapshot).Models;

    /// <summary>The model of that name or alias.</summary>
    public ServedModel? Find(string name) => Volatile.Read(ref _snapshot).ByName.GetValueOrDefault(name);

    /// <summary>Takes over a configuration. A model that stays keeps its state, those who wait for it, and its numbers.</summary>
    public void Apply(IReadOnlyList<ModelRoute> routes)
    {
        lock (_changing)
        {
            var known = _snapshot.Models.ToDictionary(model => model.Name, StringComparer.Ordinal);
            var models = routes
                .Select(route => known.GetValueOrDefault(route.Name) ?? new ServedModel(new ModelGate(route, time, whenWakeWanted), new ModelTraffic(time)))
                .ToImmutableArray();
            var byName = new Dictionary<string, ServedModel>(StringComparer.Ordinal);
            foreach (var (model, route) in models.Zip(routes))
            {
                model.Gate.Update(route);
                foreach (var name in route.Aliases.Prepend(route.Name))
                {
                    byName.Add(name, model);
                }
            }

            Volatile.Write(ref _snapshot, new Snapshot(models, byName.ToFrozenDictionary(StringComparer.Ordinal)));
            foreach (var gone in known.Values.Except(models))
            {
                gone.Gate.Remove();
            }
        }
    }

    private sealed record Snapshot(ImmutableArray<ServedModel> Models, FrozenDictionary<string, ServedModel> ByName);
}
