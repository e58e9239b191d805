using Kvcached.Router.Models;
using Kvcached.Router.Proxy;

namespace Kvcached.Router.Frontend;

/// <summary><c>/v1/models</c>: all models in one list, aliases included, whichever engines serve them and whether they sleep.</summary>
internal sealed class ModelListEndpoints(ModelTable table, TimeProvider time)
{
    private readonly long _startedAt = time.GetUtcNow().ToUnixTimeSeconds();

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/v1/models", () => Results.Json(
            new ModelListBody("list", [.. table.Models.SelectMany(model => model.Gate.Route.Aliases.Prepend(model.Name)).Select(Describe)]), ApiJsonContext.Default.ModelListBody));
        routes.MapGet("/v1/models/{**model}", (string model, HttpContext context) =>
        {
            var name = StatusEndpoints.NameIn(model);
            return table.Find(name) is null
                ? ApiError.ModelNotFound(context, name)
                : context.Response.WriteAsJsonAsync(Describe(name), ApiJsonContext.Default.ModelBody, cancellationToken: context.RequestAborted);
        });
    }

    // When a model was made isn't known; the field may not be missing.
    private ModelBody Describe(string name) => new(name, "model", _startedAt, "kvcached");
}
