using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Kvcached.Router.Configuration;
using Kvcached.Router.Models;
using Kvcached.Router.Proxy;
using Kvcached.Router.Startup;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Kvcached.Router.Tests.Support;

/// <summary>The real router on a port of its own, with its file of models, and a client of it.</summary>
internal sealed class RouterRig : IAsyncDisposable
{
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly WebApplication _app;

    private RouterRig(WebApplication app, string path)
    {
        _app = app;
        ModelsPath = path;
        Url = RouterServer.AddressOf(app);
        Client = new HttpClient(new SocketsHttpHandler { UseProxy = false }) { BaseAddress = Url, Timeout = Patience };
    }

    public string ModelsPath { get; }

    public Uri Url { get; }

    public HttpClient Client { get; }

    public ModelTable Table => _app.Services.GetRequiredService<ModelTable>();

    public T Get<T>()
        where T : notnull => _app.Services.GetRequiredService<T>();

    /// <summary>Starts it with a file that says <paramref name="yaml"/>.</summary>
    public static async Task<RouterRig> StartAsync(string yaml, Func<RouterOptions, RouterOptions>? change = null, string? token = null)
    {
        var path = Path.Combine(Path.GetTempPath(), $"models-{Guid.NewGuid():N}.yaml");
        await File.WriteAllTextAsync(path, yaml);
        var options = new RouterOptions { ModelsPath = path, Listen = new IPEndPoint(IPAddress.Loopback, 0) };
        var app = RouterServer.Create(change?.Invoke(options) ?? options, Routes.Read(yaml), new ChangeToken(token));
        await app.StartAsync();
        return new RouterRig(app, path);
    }

    /// <summary>A file with one model over these engines.</summary>
    public static string Yaml(string name, IEnumerable<FakeEngine> engines, string more = "") =>
        $"models:\n{Entry(name, engines, more)}";

    public static string Entry(string name, IEnumerable<FakeEngine> engines, string more = "") =>
        $"  - name: {name}\n    replicas: [{string.Join(", ", engines.Select(engine => $"\"{engine.Url}\""))}]\n{more}";

    public Task<HttpResponseMessage> AskAsync(string model, string path = "/v1/chat/completions", CancellationToken cancellation = default) =>
        SendAsync(path, $$"""{"model":"{{model}}","messages":[]}""", cancellation);

    public async Task<HttpResponseMessage> SendAsync(string path, string json, CancellationToken cancellation = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = new StringContent(json, Encoding.UTF8, "application/json") };
        request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("text/event-stream"));
        return await Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation);
    }

    /// <summary>Asks and takes the whole answer.</summary>
    public async Task<string> AskWholeAsync(string model)
    {
        using var response = await AskAsync(model);
        return await response.Content.ReadAsStringAsync();
    }

    /// <summary>From now on only requests find out which engines are well.</summary>
    public Task StopHealthWatchAsync() => Get<IEnumerable<IHostedService>>().OfType<HealthWatch>().Single().StopAsync(CancellationToken.None);

    /// <summary>The API's error: its status, code and what it says.</summary>
    public static async Task<(HttpStatusCode Status, string Code, string Message)> ErrorOf(HttpResponseMessage response)
    {
        using var document = JsonDocument.Parse(await response.Content.ReadAsStringAsync());
        var error = document.RootElement.GetProperty("error");
        return (response.StatusCode, error.GetProperty("code").GetString()!, error.GetProperty("message").GetString()!);
    }

    public async Task<JsonElement> GetJsonAsync(string path)
    {
        using var document = JsonDocument.Parse(await Client.GetStringAsync(path));
        return document.RootElement.Clone();
    }

    /// <summary>Waits until something is so; the test fails when it never is.</summary>
    public static async Task UntilAsync(Func<bool> isSo)
    {
        using var overdue = new CancellationTokenSource(Patience);
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(5));
        while (!isSo())
        {
            await timer.WaitForNextTickAsync(overdue.Token);
        }
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await _app.DisposeAsync();
        File.Delete(ModelsPath);
    }
}
